"""What is trending, which topics a paper matches, and which papers a reader gets. Pure: values in, values out."""
