"""`python -m keras_s2s`: the same as `keras-s2s`."""

import sys

from keras_s2s.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
