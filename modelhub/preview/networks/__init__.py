"""Networks that mirror the file: parameter names are tensor names, sizes are read from tensor shapes."""
