"""Questions about companion models are those about their models, which were asked already."""

from typing import Any

from django.apps.registry import Apps
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ModelState


class AskOnce:
    """A questioner that answers for a companion model what was answered for the model that it belongs to.

    Django goes by name, and the name of a companion begins with that of its model: the model comes first.
    """

    def __init__(self, questioner: MigrationQuestioner, apps: Apps) -> None:
        self.questioner = questioner
        self.owners = {
            model._meta.model_name: model.pgcraft_owner._meta.model_name
            for model in apps.get_models()
            if hasattr(model, "pgcraft_owner")
        }
        self.answers: dict[tuple[str, ...], bool] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.questioner, name)

    def ask_rename(self, model_name: str, old_name: str, new_name: str, field_instance: Any) -> bool:
        if owner := self.owners.get(model_name.lower()):
            return self.answers.get((owner, old_name, new_name), False)
        answer = bool(self.questioner.ask_rename(model_name, old_name, new_name, field_instance))
        self.answers[model_name.lower(), old_name, new_name] = answer
        return answer

    def ask_rename_model(self, old_model_state: ModelState, new_model_state: ModelState) -> bool:
        old, new = old_model_state.name_lower, new_model_state.name_lower
        if owner := self.owners.get(new):
            suffix = new.removeprefix(owner)
            return old.endswith(suffix) and self.answers.get((old.removesuffix(suffix), owner), False)
        answer = bool(self.questioner.ask_rename_model(old_model_state, new_model_state))
        self.answers[old, new] = answer
        return answer
