"""Recipes of other programs, read as ours: AUTOMATIC1111's, supermerger's and sd-mecha's."""
