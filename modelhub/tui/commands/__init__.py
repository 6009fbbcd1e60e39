"""The commands of the command line as forms, run in processes of their own."""
