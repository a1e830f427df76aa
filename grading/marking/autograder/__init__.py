"""The autograder that runs on Gradescope: all that its .zip holds beside the kit."""
