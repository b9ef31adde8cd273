"""The one exception a user can cause."""


class UserError(ValueError):
    """One sentence with what, the value, and the choices; shown as it is, never with a stack trace."""
