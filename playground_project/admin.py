from django.contrib import admin

from pgcraft_django.admin import LedgerAdmin, StateMachineAdmin
from playground_project.models import Inventory, Order, Product, Student, User

admin.site.register([User, Student, Product])
admin.site.register(Inventory, LedgerAdmin)
admin.site.register(Order, StateMachineAdmin)
