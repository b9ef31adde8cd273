"""What people decide about images: keep, relabel, drop, smooth more.

kept    the file of decisions, read and written
lists   the tables that go along
"""
