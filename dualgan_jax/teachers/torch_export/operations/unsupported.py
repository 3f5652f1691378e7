"""The error of operations that cannot do what a file wants of them."""


class Unsupported(ValueError):
  """A use of an operation that is not known; its message says which."""
