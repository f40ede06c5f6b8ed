"""The options: `<slot>/<option>.py`, each with one function `make(context)`."""
