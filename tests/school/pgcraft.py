"""What the school exposes of other apps' models, and of tables without a model of their own."""

from django.contrib.auth.models import Group

from pgcraft_django import API, register
from tests.school.models import OPEN, Graduate, Student, Teacher

register(Group, api=API(name="groups", columns=["id", "name"], grants={"webuser": ["select", "insert", "update"]}))
register(Graduate, api=API(name="graduates", columns=["id", "name"], grants={"anon": ["select"]}))
for through in (
    Student.courses.through,
    Student.friends.through,
    Student.admires.through,
    Teacher.teaches.through,
    Teacher.assists.through,
):
    register(through, api=API(grants=OPEN))
