"""Recipes: each is the values of one compression step, and what it does."""

from tfchain.optimization.recipes.base import Materials as Materials
from tfchain.optimization.recipes.base import Recipe as Recipe
from tfchain.optimization.recipes.base import TrainingRecipe as TrainingRecipe
from tfchain.optimization.recipes.cluster import Cluster as Cluster
from tfchain.optimization.recipes.distill import Distance as Distance
from tfchain.optimization.recipes.distill import Distill as Distill
from tfchain.optimization.recipes.order import RECIPES_BY_NAME as RECIPES_BY_NAME
from tfchain.optimization.recipes.order import TRAINING as TRAINING
from tfchain.optimization.recipes.order import TRAINING_BY_NAME as TRAINING_BY_NAME
from tfchain.optimization.recipes.order import check_candidates as check_candidates
from tfchain.optimization.recipes.order import check_recipes as check_recipes
from tfchain.optimization.recipes.order import check_training_recipes as check_training_recipes
from tfchain.optimization.recipes.order import from_values as from_values
from tfchain.optimization.recipes.order import name_recipes as name_recipes
from tfchain.optimization.recipes.prune import Prune as Prune
from tfchain.optimization.recipes.quantize import Quantize as Quantize
from tfchain.optimization.recipes.quantize import QuantizedPrecision as QuantizedPrecision
from tfchain.optimization.recipes.quantize_aware import QuantizeAware as QuantizeAware
from tfchain.optimization.recipes.quantize_vectors import QuantizedVectorPrecision as QuantizedVectorPrecision
from tfchain.optimization.recipes.quantize_vectors import QuantizeVectors as QuantizeVectors
from tfchain.optimization.recipes.reduce import ReduceDimensions as ReduceDimensions
from tfchain.optimization.recipes.reduce import ReductionMethod as ReductionMethod
from tfchain.optimization.recipes.shrink import Shrink as Shrink
from tfchain.optimization.recipes.trim_vocabulary import TrimVocabulary as TrimVocabulary
