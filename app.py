"""The app: runs the page that the menu (``dpls/ui/menu.py``) says. ``make app`` serves it."""

from dpls.ui.frame import navigate

if __name__ == "__main__":
    navigate().run()
