"""The API over HTTP: views parse, call one verb of the engine and present what it returns.

Every view is an `EngineView`, which brings its own authentication, permissions, parser, renderer
and error shape: what a project sets under ``REST_FRAMEWORK`` changes nothing here.  The routes
are in `spane_django.urls`.
"""
