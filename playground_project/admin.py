from django.contrib import admin

from pgcraft_django.admin import AppendOnlyAdmin, EAVAdmin, LedgerAdmin, StateMachineAdmin
from playground_project.models import Inventory, Order, Product, Student, User

admin.site.register(User)
admin.site.register(Product, EAVAdmin)
admin.site.register(Student, AppendOnlyAdmin)
admin.site.register(Inventory, LedgerAdmin)
admin.site.register(Order, StateMachineAdmin)
