from django.contrib import admin

from playground_project.models import Student, User

admin.site.register([User, Student])
