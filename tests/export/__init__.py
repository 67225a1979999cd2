"""Exporting: conversion to int8, TensorFlow Lite Micro artefacts, packages for firmware projects."""
