"""Translation: parallel texts, metrics, evaluation by generation, and the graph from text to text."""
