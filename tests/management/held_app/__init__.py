"""An app whose nodes wait for the test: they hold still until a file lets them go."""
