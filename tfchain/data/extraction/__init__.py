"""Extraction: Markdown text out of HTML, PDF, Word, PowerPoint, Excel and EPUB files, in processes of their own."""
