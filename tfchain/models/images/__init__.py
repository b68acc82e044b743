"""Models of images and texts: two towers whose vectors are compared."""
