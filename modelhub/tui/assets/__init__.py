"""A list of assets, wherever it is shown: columns, filter, completion, marks, pages."""
