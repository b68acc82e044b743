"""From clicks to judgments: what users saw, how much its place had to do with it, and what it says of relevance."""
