//! What the screen shows and what keys do, on terminals of two sizes.
