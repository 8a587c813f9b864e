"""The steps of a training as TensorFlow graphs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steps.training.ranks import Horovod, SingleProcess

if TYPE_CHECKING:
    import keras


def compile_steps(
    model: "keras.Model",
    optimizer: "keras.Optimizer",
    augment: "keras.Model",
    averages: "list[keras.Variable]",
    reach: float,
    ranks: SingleProcess | Horovod,
    class_weights: NDArray[np.float32],
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Compile what a batch goes through.

    Args:
        model: the network.
        optimizer: built for its trainable variables.
        augment: see :func:`steps.training.augmentation.build_augmentation`.
        averages: one for each trainable variable, updated by each step.
        reach: the steps that the averages go back over, roughly.
        ranks: sums over the ranks.
        class_weights: ``float32 [classes]``.

    Returns:
        The augmentation of a batch's inputs; the training step, which returns the summed loss and
        weights of its batch and the next one's augmented inputs; the validation step, which
        returns the sums of losses, of their squares, of correct images, and of weights.
    """
    import keras
    import tensorflow as tf

    inputs = tf.TensorSpec(model.input_shape, model.input.dtype)
    signature = [inputs, tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32)]
    variables = [variable.value for variable in model.trainable_variables]
    moving = [v for v in model.non_trainable_variables if v.name.startswith("moving_")]

    def losses_of(
        inputs: "tf.Tensor", classes: "tf.Tensor", weights: "tf.Tensor", training: bool
    ) -> "tuple[tf.Tensor, tf.Tensor]":
        probabilities = model(inputs, training=training)
        losses = keras.losses.sparse_categorical_crossentropy(classes, probabilities)
        return losses * weights, probabilities

    def augmented(inputs: "tf.Tensor") -> "tf.Tensor":
        return augment(inputs, training=True)

    def train_step(
        inputs: "tf.Tensor", classes: "tf.Tensor", weights: "tf.Tensor", following: "tf.Tensor"
    ) -> "tuple[tf.Tensor, tf.Tensor, tf.Tensor]":
        balanced = weights * tf.gather(class_weights, classes)
        with tf.GradientTape() as tape:
            losses, _ = losses_of(inputs, classes, balanced, training=True)
            penalty = tf.reduce_sum(weights) * sum(model.losses)  # of a head's weights
            loss = tf.reduce_sum(losses) + penalty
            scaled = optimizer.scale_loss(loss)  # for half precision; else it stays as it is
        gradients = tape.gradient(scaled, variables)
        # among ranks it fills the wait for the gradients' exchange
        with tf.control_dependencies(gradients if ranks.size > 1 else []):
            following = augment(following, training=True)
        statistics = [tf.convert_to_tensor(variable.value) for variable in moving]
        *sums, loss, count = ranks.sum([*gradients, *statistics, loss, tf.reduce_sum(weights)])
        gradients, statistics = sums[: len(gradients)], sums[len(gradients) :]
        for variable, total in zip(moving, statistics, strict=True):
            variable.assign(total / ranks.size)

        def learn() -> None:
            optimizer.apply_gradients(
                [(g / count, v) for g, v in zip(gradients, model.trainable_variables, strict=True)]
            )
            for average, variable in zip(averages, variables, strict=True):
                average.assign(average + (variable - average) / reach)

        # without a weight, this last batch is padding on every rank
        tf.cond(count > 0, learn, lambda: None)
        return loss, count, following

    def validation_step(
        inputs: "tf.Tensor", classes: "tf.Tensor", weights: "tf.Tensor"
    ) -> "list[tf.Tensor]":
        losses, probabilities = losses_of(inputs, classes, weights, training=False)
        correct = tf.cast(tf.argmax(probabilities, 1, tf.int32) == classes, tf.float32)
        # a weight is 1, or 0 for padding
        totals = losses, losses * losses, correct * weights, weights
        return [tf.reduce_sum(total) for total in totals]

    def compiled(function: Callable[..., Any], signature: list["tf.TensorSpec"]) -> Any:
        # AutoGraph would convert the source of each layer, and nothing here needs it
        return tf.function(function, signature, autograph=False)

    return (
        compiled(augmented, signature[:1]),
        compiled(train_step, [*signature, signature[0]]),
        compiled(validation_step, signature),
    )
