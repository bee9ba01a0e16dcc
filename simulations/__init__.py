"""Who runs the apps, when and where: engines and studies."""
