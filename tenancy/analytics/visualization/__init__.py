"""Charts of query results: line, area, bar, stacked bar, scatter, pie, heatmap and table, as Plotly figures."""

from tenancy.analytics.visualization.chart import Chart
from tenancy.analytics.visualization.config import ChartConfig, ChartType, chart_config
from tenancy.analytics.visualization.engine import VisualizationEngine
from tenancy.analytics.visualization.page import page

__all__ = ["Chart", "ChartConfig", "ChartType", "VisualizationEngine", "chart_config", "page"]
