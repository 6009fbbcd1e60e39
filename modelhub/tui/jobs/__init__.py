"""The jobs of the interface: the center that runs them, their rows, and the place that shows them."""
