"""The rows of the table, one file for each part of the product that they measure."""
