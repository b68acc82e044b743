"""Personal data and secrets in texts: where they are. The steps beside this folder mask them."""
