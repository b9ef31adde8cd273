"""The command line. Each command imports what it needs, so that a worker locks its run before torch is loaded.

main       from a command line to an exit code
making     train, experiment, compare, work
loading    load
checking   evaluate, bench, doctor
looking    runs, export, tags, scores
settings   settings
serving    app
"""
