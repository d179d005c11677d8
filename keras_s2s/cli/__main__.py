"""`python -m keras_s2s.cli`: the same as `keras-s2s`."""

import sys

from keras_s2s.cli.app import main

sys.exit(main())
