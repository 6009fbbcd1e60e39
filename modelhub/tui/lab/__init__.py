"""What the merge lab does below its screens: recipes, looks at headers, pictures, grids, and its history."""
