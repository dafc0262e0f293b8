"""The models of a school: every kind of key, relation, field, default and name that an API has to cope with."""

import datetime
from decimal import Decimal

from django.contrib.postgres import fields as postgres
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models.functions import Now, Upper

from pgcraft_django.api import API
from pgcraft_django.models import PGCraftSimple

OPEN = {"anon": ["select"], "webuser": "all"}


class User(PGCraftSimple):
    """Who can sign in.

    Hints are nobody's business.
    """

    name = models.TextField(help_text="What we call them.")
    email = models.EmailField(unique=True, null=True, db_comment="Where we write to: it's unique.")
    password_hint = models.TextField(blank=True, default="", help_text="Never shown.")

    class Meta:
        db_table = "users"

    class PGCraft:
        api = [
            API(name="users", exclude=["password_hint"], grants=OPEN),
            API(name="user_names", columns=["id", "name"], grants={"anon": ["select"]}),
        ]


class Exposed(PGCraftSimple):
    """Base of the models that everybody reads and signed-in users write."""

    class Meta:
        abstract = True

    class PGCraft:
        api = API(grants=OPEN)


class Profile(Exposed):
    user = models.OneToOneField(User, on_delete=models.CASCADE)
    motto = models.TextField(default='They said "it\'s 100%" \\o/ größe')

    class Meta:
        db_table = "profiles"


class Locker(Exposed):
    """Belongs to a user by their address, not by their key."""

    owner = models.ForeignKey(
        User, to_field="email", on_delete=models.CASCADE, db_column="owner_email", related_name="lockers"
    )
    number = models.IntegerField(unique=True)

    class Meta:
        db_table = "lockers"


class Course(Exposed):
    """Something to learn, known by a code of its own."""

    code = models.CharField(max_length=20, primary_key=True)
    title = models.TextField()

    class Meta:
        db_table = "courses"


class Club(Exposed):
    """Known by a UUID that the database makes."""

    id = models.UUIDField(primary_key=True, db_default=RandomUUID())
    name = models.TextField()

    class Meta:
        db_table = "clubs"


class Student(Exposed):
    """Who learns."""

    name = models.TextField()
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="students")
    mentor = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="mentees")
    courses = models.ManyToManyField(Course, related_name="students")
    club = models.ForeignKey(Club, null=True, on_delete=models.SET_NULL, related_name="captains")
    clubs = models.ManyToManyField(Club, through="Membership", related_name="members")
    friends = models.ManyToManyField("self")
    admires = models.ManyToManyField("self", symmetrical=False, related_name="admirers")

    class Meta:
        db_table = "students"


class Membership(Exposed):
    """A student in a club, known by the two."""

    pk = models.CompositePrimaryKey("student", "club")
    student = models.ForeignKey(Student, on_delete=models.CASCADE)
    club = models.ForeignKey(Club, on_delete=models.CASCADE)
    role = models.TextField(default="member")
    since = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "memberships"


class Graduate(Student):
    """A student by another name."""

    class Meta:
        proxy = True


class Teacher(Exposed):
    """Stands to courses in two ways."""

    name = models.TextField()
    teaches = models.ManyToManyField(Course, related_name="teachers")
    assists = models.ManyToManyField(Course, related_name="assistants")

    class Meta:
        db_table = "teachers"


class Seat(Exposed):
    """Known by what it is: a number in a room."""

    pk = models.CompositePrimaryKey("room", "number")
    room = models.TextField()
    number = models.IntegerField()
    taken_by = models.TextField(null=True)

    class Meta:
        db_table = "seats"


class Lunch(Exposed):
    """What the database computes nobody can write."""

    price = models.DecimalField(max_digits=8, decimal_places=2)
    amount = models.IntegerField(default=1)
    total = models.GeneratedField(
        expression=models.F("price") * models.F("amount"),
        output_field=models.DecimalField(max_digits=12, decimal_places=2),
        db_persist=True,
    )
    dish = models.TextField()
    label = models.GeneratedField(expression=Upper("dish"), output_field=models.TextField(), db_persist=True)

    class Meta:
        db_table = "lunches"
        constraints = [models.CheckConstraint(condition=models.Q(amount__gt=0), name="lunches_amount_positive")]


class Level(models.TextChoices):
    """A choice of texts."""

    EASY = "easy"
    HARD = "hard, but 'fair'"


class Stars(models.IntegerChoices):
    """A choice of numbers."""

    ONE = 1
    FIVE = 5


class Preset(Exposed):
    """Every constant that a Python default can be."""

    text = models.TextField(default="plain")
    odd_text = models.TextField(default='it\'s "100%" %s %(x)s \\n \\\\ größe 🙂\n\tend')
    empty = models.CharField(max_length=10, default="")
    integer = models.IntegerField(default=-7)
    big = models.BigIntegerField(default=2**62)
    yes = models.BooleanField(default=True)
    no = models.BooleanField(default=False)
    decimal = models.DecimalField(max_digits=12, decimal_places=4, default=Decimal("12.3456"))
    real = models.FloatField(default=0.1)
    date = models.DateField(default=datetime.date(2024, 2, 29))
    time = models.TimeField(default=datetime.time(23, 59, 59, 999999))
    moment = models.DateTimeField(default=datetime.datetime(2024, 2, 29, 12, 30, 0, 1, tzinfo=datetime.UTC))
    duration = models.DurationField(default=datetime.timedelta(days=-1, hours=3, microseconds=5))
    binary = models.BinaryField(default=b"\x00\xff%\\'")
    level = models.CharField(max_length=20, choices=Level, default=Level.HARD)
    stars = models.IntegerField(choices=Stars, default=Stars.FIVE)
    document = models.JSONField(default=dict)
    entries = models.JSONField(default=list)
    words = postgres.ArrayField(models.TextField(), default=list)
    nothing = models.TextField(null=True, default=None)
    favourite = models.ForeignKey(Course, null=True, default="math", on_delete=models.SET_NULL)

    class Meta:
        db_table = "presets"


class Sample(Exposed):
    """Every type of field."""

    big = models.BigIntegerField(null=True)
    binary = models.BinaryField(null=True)
    boolean = models.BooleanField(null=True)
    char = models.CharField(max_length=50, null=True)
    date = models.DateField(null=True)
    date_time = models.DateTimeField(null=True)
    decimal = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    duration = models.DurationField(null=True)
    email = models.EmailField(null=True)
    file = models.FileField(default="")
    path = models.FilePathField(null=True)
    real = models.FloatField(null=True)
    address = models.GenericIPAddressField(null=True)
    integer = models.IntegerField(null=True)
    document = models.JSONField(null=True)
    positive_big = models.PositiveBigIntegerField(null=True)
    positive = models.PositiveIntegerField(null=True)
    positive_small = models.PositiveSmallIntegerField(null=True)
    slug = models.SlugField(null=True)
    small = models.SmallIntegerField(null=True)
    text = models.TextField(null=True)
    time = models.TimeField(null=True)
    url = models.URLField(null=True)
    uuid = models.UUIDField(null=True)
    words = postgres.ArrayField(models.TextField(null=True), null=True)
    matrix = postgres.ArrayField(postgres.ArrayField(models.IntegerField()), null=True)
    days = postgres.ArrayField(models.DateField(), size=3, null=True)
    integers = postgres.IntegerRangeField(null=True)
    bigs = postgres.BigIntegerRangeField(null=True)
    decimals = postgres.DecimalRangeField(null=True)
    dates = postgres.DateRangeField(null=True)
    moments = postgres.DateTimeRangeField(null=True)
    search = SearchVectorField(null=True)

    class Meta:
        db_table = "samples"


class Ticket(Exposed):
    """A key that is counted in an `integer`."""

    id = models.AutoField(primary_key=True)
    note = models.TextField(default="")

    class Meta:
        db_table = "tickets"


class Coin(Exposed):
    """A key that is counted in a `smallint`."""

    id = models.SmallAutoField(primary_key=True)
    note = models.TextField(default="")

    class Meta:
        db_table = "coins"


class Oddity(PGCraftSimple):
    """Names that have to be quoted wherever they go."""

    order = models.IntegerField(unique=True)
    mixed = models.TextField(db_column="Mixed Case", null=True, help_text='It\'s "odd", 100%\\')
    size = models.TextField(db_column="größe", default="XL")
    dotted = models.TextField(db_column="a.b,c(d)", null=True)
    select = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, db_column="Select")

    class Meta:
        db_table = "Größe & Order"

    class PGCraft:
        api = [
            API(grants=OPEN),
            API(name='he said "hi", 100%', grants=OPEN),
            API(name="order", grants=OPEN, exclude=["dotted"]),
        ]


class Report(PGCraftSimple):
    """In schemas of its own, on both sides."""

    title = models.TextField()
    author = models.ForeignKey(User, on_delete=models.CASCADE)

    class Meta:
        db_table = "reports"

    class PGCraft:
        schema = "archive"
        api = API(schema="reports", grants={"webuser": "all"})


class Notice(PGCraftSimple):
    """Signed-in users put it up, and can neither change nor remove it."""

    text = models.TextField()

    class Meta:
        db_table = "notices"

    class PGCraft:
        api = API(grants={"anon": ["select"], "webuser": ["select", "insert"]})


class Complaint(PGCraftSimple):
    """Anybody may write one, nobody reads it here."""

    text = models.TextField()

    class Meta:
        db_table = "complaints"

    class PGCraft:
        api = API(grants={"anon": ["insert"]})


class Holiday(PGCraftSimple):
    """Granted to whom the settings say."""

    name = models.TextField()

    class Meta:
        db_table = "holidays"


class Closed(PGCraftSimple):
    """A resource that nobody was granted."""

    text = models.TextField()

    class Meta:
        db_table = "closed"

    class PGCraft:
        api = API(grants={})


class Grade(PGCraftSimple):
    """In no API."""

    student = models.ForeignKey(Student, on_delete=models.CASCADE)
    value = models.IntegerField()

    class Meta:
        db_table = "grades"

    class PGCraft:
        api = None


class Twins(models.Model):
    """The fields of two models that must behave the same."""

    text = models.CharField(max_length=20, default="plain")
    decimal = models.DecimalField(max_digits=12, decimal_places=4, default=Decimal("12.5"))
    integer = models.IntegerField(default=7)
    made = models.DateTimeField(db_default=Now())
    changed = models.DateTimeField(auto_now=True)
    both = models.IntegerField(default=1, db_default=2)
    choice = models.CharField(max_length=20, choices=Level, default=Level.HARD)
    document = models.JSONField(default=dict)
    double = models.GeneratedField(
        expression=models.F("integer") * 2, output_field=models.IntegerField(), db_persist=True
    )

    class Meta:
        abstract = True


class Plain(Twins):
    """A model as Django has it."""

    class Meta:
        db_table = "plain"


class Crafted(Twins, Exposed):
    """The same model, exposed."""

    class Meta:
        db_table = "crafted"
