"""The weights in the package: how well they find and judge nodules of patients and lungs they were not trained on."""
