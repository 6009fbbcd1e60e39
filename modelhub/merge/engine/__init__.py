"""How a merge is computed: expressions over tensors, window by window, the same whoever asks for which part."""
