"""Search: models by words, at Civitai and on Hugging Face at once."""
