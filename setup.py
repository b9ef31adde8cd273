"""Which packages a wheel holds: those of dpls/, and under ``dpls.served`` the app's script and pages.

These two stay at the top of the repository, and would otherwise lie in site-packages under names that belong to nobody.
"""

from setuptools import find_packages, setup

setup(
    script_name="setup.py",  # what calls itself so is left out of the package at the top of the repository
    packages=[
        *find_packages(include=["dpls*"]),
        "dpls.recorded.experiments",  # holds no code, but could be imported by its name: so it has to be said
        "dpls.served",
        "dpls.served.pages",
    ],
    package_dir={"dpls.served": ".", "dpls.served.pages": "pages"},
)
