"""What the server tells those who watch it: answered texts and feedback, by a thread of its own."""
