"""What `import ponderosa` gives: a function for each thing that people do, over which the commands are thin."""
