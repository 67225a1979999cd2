"""A Keras callback that tells during training whether the model will fit a board."""
