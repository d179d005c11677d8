"""The epochs of a data set: buckets of lengths, and which examples are in which batch."""
