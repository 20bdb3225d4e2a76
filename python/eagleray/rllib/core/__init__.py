"""RLModules and their column names, as Ray 2.x has them."""
