"""The playground: a Django project and app for trying pgcraft_django out. Extend `models.py` freely."""
