"""One fold from configuration to result: optimizer, Lightning module, tracking, results on disk."""
