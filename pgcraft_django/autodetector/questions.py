"""Questions about companion models are those about their models, which were asked already.

A companion is asked about by itself only for what cannot concern its model: a column of its own, or a log that was
kept while its model, which kept none, was changed.
"""

from typing import Any

from django.apps.registry import Apps
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ModelState, ProjectState

from pgcraft_django.factories.companion import copied_names


class AskOnce:
    """A questioner that answers for a companion model what was answered for the model that it belongs to.

    Django goes by name, and the name of a companion begins with that of its model: the model comes first.
    """

    def __init__(self, questioner: MigrationQuestioner, apps: Apps, from_state: ProjectState) -> None:
        self.questioner = questioner
        self.companions: dict[str | None, Any] = {
            model._meta.model_name: model for model in apps.get_models() if hasattr(model, "pgcraft_owner")
        }
        self.before = from_state.models
        self.renamed: dict[str, str] = {}
        self.answers: dict[tuple[str, ...], bool] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.questioner, name)

    def ask_rename(self, model_name: str, old_name: str, new_name: str, field_instance: Any) -> bool:
        companion = self.companions.get(model_name.lower())
        if companion and not self._is_its_own(companion, old_name, new_name):
            return self.answers.get((companion.pgcraft_owner._meta.model_name, old_name, new_name), False)
        answer = bool(self.questioner.ask_rename(model_name, old_name, new_name, field_instance))
        self.answers[model_name.lower(), old_name, new_name] = answer
        return answer

    def _is_its_own(self, companion: Any, old_name: str, new_name: str) -> bool:
        """Tell whether a column of the companion is renamed, and no field of its model in this run."""
        owner = companion.pgcraft_owner._meta
        model = self.before.get((owner.app_label, self.renamed.get(owner.model_name, owner.model_name)))
        before = set(model.fields) if model else set()
        after = {field.name for field in owner.get_fields()}
        if any((name in before) != (name in after) for name in (old_name, new_name)):
            return False
        # Of two copies of fields that are both there, as dimensions of a balance are, neither was renamed.
        return old_name not in after or new_name not in copied_names(companion)

    def ask_rename_model(self, old_model_state: ModelState, new_model_state: ModelState) -> bool:
        old, new = old_model_state.name_lower, new_model_state.name_lower
        if companion := self.companions.get(new):
            owner = companion.pgcraft_owner._meta
            suffix = new.removeprefix(owner.model_name)
            former = old.removesuffix(suffix)
            is_there = (owner.app_label, owner.model_name) in self.before
            if former == old or not is_there or (owner.app_label, former) in self.before:
                return former != old and self.answers.get((former, owner.model_name), False)
        answer = bool(self.questioner.ask_rename_model(old_model_state, new_model_state))
        self.answers[old, new] = answer
        if answer:
            self.renamed[new] = old
        return answer
