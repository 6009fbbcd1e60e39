"""The models of a merge, whatever their layout, prefix or packing, each seen as the first one is laid out."""
