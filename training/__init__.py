"""What a run needs beside the algorithm."""
