"""The merge lab: recipes, looks at headers, pictures of merges that were never written, grids and history."""
