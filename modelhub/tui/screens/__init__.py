"""What every screen is made of: a place, a dialog, a sheet."""
