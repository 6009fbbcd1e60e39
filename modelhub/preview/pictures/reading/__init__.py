"""Reading: what each program writes into its pictures, as a `Generation`."""
