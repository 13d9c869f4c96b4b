//! A tower layer that signs requests to secured ArcGIS services.
